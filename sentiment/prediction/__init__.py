"""Behind `sentiment.predict`: `inputs`, `results`, `explain`, words in colour (`shading`, `page`)."""
