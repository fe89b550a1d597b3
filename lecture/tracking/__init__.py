"""Page 6, many-to-many: a ball is marked in the first frame; the network says where it is in every frame.

`videos` renders the task, `folder` reads videos of your own, `model` is the network, `report` measures and
draws, `__main__` is the program.
"""
