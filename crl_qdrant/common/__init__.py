"""What every other package builds on: arguments checked, arrays, images, points, devices, progress."""
