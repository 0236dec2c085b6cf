"""Labels, preprocessing, towers, fusion, training and the packed predictor: bytes in, probabilities out."""
