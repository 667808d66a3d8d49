"""Studies of known truth: what is falsely said?"""
