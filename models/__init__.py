"""Labels, preprocessing, towers, fusion, training and the packed predictor."""
