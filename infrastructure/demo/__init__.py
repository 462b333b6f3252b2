"""The main job on real input: the facts packaged here, or any file of their format."""
