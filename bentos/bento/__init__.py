"""What binds services to BentoML, and the way past it: no other room imports it."""
