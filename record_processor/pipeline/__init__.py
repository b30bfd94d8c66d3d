"""What happens to a batch between the wire and the user's code: pipeline.py reads as the straight line."""
