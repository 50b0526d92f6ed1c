"""Lesson 5: numbers for generated images, and what they were measured in."""
