"""The surroundings of a script: `cli`, `output`, `signals`, and the `quiet` import of TensorFlow."""
