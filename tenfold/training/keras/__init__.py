"""The Keras 3 engine, on TensorFlow."""

import os

# TensorFlow reads both when it is imported, which only modules of this package do.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Whatever a user has set: another backend has none of what the engine needs.
os.environ["KERAS_BACKEND"] = "tensorflow"
