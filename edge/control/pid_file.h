/* pid_file.h -- a file that names the process which serves. */
#ifndef CONTROL_PID_FILE_H
#define CONTROL_PID_FILE_H

/* `path` "" : nothing happens. Written in one move: whoever reads it finds the old number or the new one. */
void pid_file_write(const char *path);
/* Takes it away if it still names this process. */
void pid_file_remove(const char *path);

#endif
