"""An environmental authority's HJ 212 platform in small (reference: reporting-interfaces section 4).

It takes several field units on TCP, reads their packets by a parser of its own, answers, sends commands by a script,
misbehaves on wish, keeps what came in SQLite and captures every byte. Nothing of plumeproof is imported here: the two
sides are to judge each other. How to use it: README.md beside this file.
"""
