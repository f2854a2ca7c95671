"""The figures on the pages and in the API: read from views, history and the namespace, judged by no page."""
