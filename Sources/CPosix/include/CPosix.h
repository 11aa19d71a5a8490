#ifndef PERCH_CPOSIX_H
#define PERCH_CPOSIX_H
int perch_placeholder(void);
#endif
