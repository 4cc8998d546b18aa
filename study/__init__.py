"""What makes rows and judges them: data, training, records, claims, figures, text, the study."""
