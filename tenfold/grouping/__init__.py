"""Find samples that show the same place: exact overlaps, embeddings, components."""
