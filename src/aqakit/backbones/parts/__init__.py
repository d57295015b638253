"""Code shared by backbones: the base class, clips of video, and networks with published weights."""
