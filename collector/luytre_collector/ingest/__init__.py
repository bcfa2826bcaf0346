"""Batches in: who sends, whether the envelope is sound, what was seen before, what the body holds."""
