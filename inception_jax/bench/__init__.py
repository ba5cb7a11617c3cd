"""Speed measured the same way everywhere: input, training, devices."""
