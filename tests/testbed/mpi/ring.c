/* Says which rank runs where, sends a number around all ranks, and ends with the status that its argument says.
   With a second argument, rank 0 then waits for a signal and says so: the whole program is told to end. */
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static volatile sig_atomic_t told = 0;

static void tell(int number) { told = number; }

int main(int count, char **words)
{
    int rank, size, length, token = 1;
    char host[MPI_MAX_PROCESSOR_NAME];
    const char *greeting = getenv("GREETING");

    signal(SIGTERM, tell);
    MPI_Init(&count, &words);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Get_processor_name(host, &length);
    if (rank > 0)
        MPI_Recv(&token, 1, MPI_INT, rank - 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    token += rank;
    if (size > 1)
        MPI_Send(&token, 1, MPI_INT, (rank + 1) % size, 0, MPI_COMM_WORLD);
    if (rank == 0 && size > 1)
        MPI_Recv(&token, 1, MPI_INT, size - 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    printf("rank %d of %d on %s: %s\n", rank, size, host, greeting ? greeting : "no greeting");
    if (rank == 0)
        printf("the ring says %d\n", token);
    fflush(stdout);
    MPI_Finalize();
    if (count > 2) {
        while (!told)
            usleep(100000);
        printf("rank %d was told\n", rank);
        fflush(stdout);
    }
    return count > 1 ? atoi(words[1]) : 0;
}
