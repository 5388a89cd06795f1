package child

// sharesTerminal: a console's Ctrl-C reaches all its processes, and no other
// process can send one.
func sharesTerminal() bool { return true }
