"""What a Dag file says about its outputs, inputs and their readers."""
