"""The `tf.data` input pipeline: sampling, random numbers, online simulation."""
