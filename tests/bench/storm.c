/* A storm of short processes: `storm TOKEN FIRST COUNT RATE` runs itself COUNT times as `storm TOKEN NUMBER 'two words' ''`,
 * numbered from FIRST, RATE a second (0: as fast as it goes). Each ends at once, with NUMBER % 200. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000

/* Runs one to its end; 0 if it ended as it should. */
static int run(char *token, long one)
{
	char number[16], *arguments[] = {"storm", token, number, "two words", "", NULL}, *environment[] = {NULL};
	int status;

	snprintf(number, sizeof(number), "%ld", one);
	/* The parent sleeps until the child has its program, so the child may use its stack. */
	pid_t child = vfork();
	if (child == 0) {
		execve("/proc/self/exe", arguments, environment);
		_exit(255);
	}
	return child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != one % 200;
}

int main(int count, char **words)
{
	if (count == 5 && !strcmp(words[3], "two words"))
		_exit(atoi(words[2]) % 200);
	if (count != 5)
		return 2;

	struct timespec due;
	long first = atol(words[2]), many = atol(words[3]), rate = atol(words[4]);
	clock_gettime(CLOCK_MONOTONIC, &due);
	for (long one = first; one < first + many; one++) {
		if (run(words[1], one)) {
			fprintf(stderr, "process %ld did not run\n", one);
			return 1;
		}
		if (rate) {
			due.tv_nsec += SECOND / rate;
			due.tv_sec += due.tv_nsec / SECOND;
			due.tv_nsec %= SECOND;
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
		}
	}
	return 0;
}
