"""What the project measures of itself: one package for each benchmark, and the frame that they share."""
