"""What the itransformer service keeps beside its slots: jobs, uploads, and the models' files."""
