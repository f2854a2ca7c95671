"""The IT side: takes in what edges send, keeps log and history, folds the wings, serves the doors."""
