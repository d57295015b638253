"""What backbones share: the base class, clips of video, and networks with published weights."""
