/* cli.h -- what stands behind `usher` on the command line. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#define CLI_EXIT_USAGE 2

/* Runs the verb that argv names. Returns the process's exit code. */
int cli_run(int argc, char **argv);

/* One file a verb; argv starts behind the verb. */
int serve_verb(int argc, char **argv);
int check_verb(int argc, char **argv);
int accept_verb(int argc, char **argv);
int wait_verb(int argc, char **argv);
int edges_verb(int argc, char **argv);
int endpoints_verb(int argc, char **argv);
int topology_verb(int argc, char **argv);
int health_verb(int argc, char **argv);
int upgrade_verb(int argc, char **argv);
int ban_verb(int argc, char **argv);
int schema_verb(int argc, char **argv);
int explain_verb(int argc, char **argv);
int route_verb(int argc, char **argv);
int tenant_verb(int argc, char **argv);
int history_verb(int argc, char **argv);
int rollback_verb(int argc, char **argv);
int modules_verb(int argc, char **argv);
int version_verb(int argc, char **argv);

#endif
