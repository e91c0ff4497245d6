"""What changes a clip in training: size, colour, motion, and things in front of the face."""
