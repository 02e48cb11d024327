"""The commands. Each one parses, calls the library and prints; none decides anything."""
