"""Lesson 4: the adversarial pair under `fit`, and what is saved and shown of it."""
