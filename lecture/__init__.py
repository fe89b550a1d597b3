"""The lecture: twelve small programs, one a page.

`python -m lecture` lists them. Each is `python -m lecture.NAME`, takes at most a minute on two cores
(tracking: three) and has a page in `docs/lecture/`, in English and in Spanish. `page` holds what they share:
options and pictures; `recall` is the task of pages 1 and 12. The programs stand on the applications and on
`shared`; nothing imports them.
"""
