"""Files of texts and labels in the shapes that people have: rows, columns, labels, splits."""
