/* A Modbus/TCP server on loopback: its port, then what its memory holds at first, as orders in its arguments.
 * It takes more on its standard input:
 *   <table> <address> <value>   sets a register or bit;   sessions   tells the open connections. */
#include <modbus/modbus.h>
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

static fd_set open_fds;
static int sessions;

static void put(modbus_mapping_t *map, const char *table, int address, int value) {
    if (!strcmp(table, "holding")) map->tab_registers[address] = value;
    else if (!strcmp(table, "input")) map->tab_input_registers[address] = value;
    else if (!strcmp(table, "coil")) map->tab_bits[address] = value;
    else map->tab_input_bits[address] = value;
}

static void order(modbus_mapping_t *map) {
    char line[80], table[16];
    int address, value;
    if (!fgets(line, sizeof line, stdin)) exit(0);
    if (!strncmp(line, "sessions", 8)) { printf("%d\n", sessions); return; }
    if (sscanf(line, "%15s %d %d", table, &address, &value) != 3) { puts("what?"); return; }
    put(map, table, address, value);
    puts("done");
}

static void serve(modbus_t *bus, modbus_mapping_t *map, int fd) {
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    modbus_set_socket(bus, fd);
    int size = modbus_receive(bus, query);
    if (size > 0) modbus_reply(bus, query, size, map);
    else if (size < 0) { close(fd); FD_CLR(fd, &open_fds); sessions--; }
}

int main(int argc, char **argv) {
    int port = argc > 1 ? atoi(argv[1]) : 0;
    modbus_t *bus = modbus_new_tcp("127.0.0.1", port);
    modbus_mapping_t *map = modbus_mapping_new(4000, 4000, 4000, 4000);
    for (int i = 2; i + 2 < argc; i += 3) put(map, argv[i], atoi(argv[i + 1]), atoi(argv[i + 2]));
    int door = modbus_tcp_listen(bus, 8), most = door;
    if (door < 0) { perror("listen"); return 1; }
    setvbuf(stdin, NULL, _IONBF, 0);
    setvbuf(stdout, NULL, _IOLBF, 0);
    FD_ZERO(&open_fds);
    FD_SET(door, &open_fds);
    FD_SET(0, &open_fds);
    printf("READY %d\n", port);
    for (;;) {
        fd_set ready = open_fds;
        if (select(most + 1, &ready, NULL, NULL, NULL) < 0) return 1;
        for (int fd = 0; fd <= most; fd++) {
            if (!FD_ISSET(fd, &ready)) continue;
            if (fd == 0) order(map);
            else if (fd == door) {
                int in = accept(door, NULL, NULL), yes = 1;
                setsockopt(in, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
                FD_SET(in, &open_fds);
                sessions++;
                if (in > most) most = in;
            } else serve(bus, map, fd);
        }
    }
}
