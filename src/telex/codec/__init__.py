"""What values look like as text: JSON, structs, annotations."""
