/* What another user of the machine tries: to attach to a process as a debugger
   does, or to speak HTTP over a Unix socket. A program that any user can run;
   neither Python nor curl is certain to be one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int attach(const char *pid) {
    long done = ptrace(PTRACE_ATTACH, atoi(pid), 0, 0);
    puts(done == 0 ? "attached" : strerror(errno));
    return 0;
}

static int ask(const char *socket_path, const char *method, const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char buffer[4096];
    int stream = socket(AF_UNIX, SOCK_STREAM, 0);
    ssize_t length;
    strncpy(address.sun_path, socket_path, sizeof address.sun_path - 1);
    if (connect(stream, (struct sockaddr *)&address, sizeof address) != 0) {
        perror("connect");
        return 1;
    }
    length = snprintf(buffer, sizeof buffer,
                      "%s %s HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
                      method, path);
    if (write(stream, buffer, length) != length) {
        perror("write");
        return 1;
    }
    while ((length = read(stream, buffer, sizeof buffer)) > 0)
        fwrite(buffer, 1, length, stdout);
    return 0;
}

int main(int count, char **arguments) {
    if (count == 3 && strcmp(arguments[1], "attach") == 0)
        return attach(arguments[2]);
    if (count == 5 && strcmp(arguments[1], "ask") == 0)
        return ask(arguments[2], arguments[3], arguments[4]);
    return 2;
}
