"""Other estimators: networks of layers, naive Bayes, nearest centers."""
