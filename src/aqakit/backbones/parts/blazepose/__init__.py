"""BlazePose: a person is found in a picture, followed through a video, and has 33 joints in every frame."""
