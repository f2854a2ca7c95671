"""What the OPC UA source is made of: addresses, security, the link, decoding, subscriptions, browsing.

asyncua is imported inside functions, so that reading the plant file does not load it.
"""
