print("perchd")
