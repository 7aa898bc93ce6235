"""Which label should I use? What the records of all chapters say to somebody who has to choose."""
