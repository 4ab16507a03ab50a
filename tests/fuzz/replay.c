/* replay.c - runs a fuzz target over every file of its corpus, where no fuzzer is built in.
 *
 *   TARGET DIRECTORY...     exits 1 when a directory holds no case: a corpus that is gone must be noticed
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (!f || fstat(fileno(f), &st) != 0) {
        fprintf(stderr, "cannot read '%s'\n", path);
        return -1;
    }
    size_t size = (size_t)st.st_size;
    uint8_t *data = malloc(size ? size : 1);
    if (!data || fread(data, 1, size, f) != size) {
        fprintf(stderr, "cannot read '%s'\n", path);
        free(data);
        (void)fclose(f);
        return -1;
    }
    (void)fclose(f);
    (void)LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        int cases = 0;
        if (!dir) {
            fprintf(stderr, "no corpus directory '%s'\n", argv[i]);
            return 1;
        }
        for (struct dirent *e; (e = readdir(dir)) != NULL;) {
            char path[4096];
            if (e->d_name[0] == '.')
                continue;
            (void)snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
            if (replay_file(path) != 0)
                return 1;
            cases++;
        }
        (void)closedir(dir);
        if (cases == 0) {
            fprintf(stderr, "no cases in '%s'\n", argv[i]);
            return 1;
        }
        printf("%s: %d cases\n", argv[i], cases);
    }
    return 0;
}
