"""What is made of both theory and training: mitigation, searches for a learning rate."""
