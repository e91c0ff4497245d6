"""A local web page for extraction (`facemask app`, extra `app`)."""
