"""A local web page for extraction (`facemask app`, optional extra `facemask[app]`)."""
