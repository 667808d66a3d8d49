"""What role each setting plays, and what the texture does: values, and a page of Markdown made of them."""
