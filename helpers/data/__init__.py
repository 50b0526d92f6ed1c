"""Lesson 2: from a source to prepared images and their card."""
