"""Write files safely: atomic writes, safe names, disk space. It does not know jobs or formats."""
