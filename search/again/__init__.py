"""Any row of a study again: it is trained anew from its seed, and its curve compared with the record."""
