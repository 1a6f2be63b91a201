/* Serves `sample` and `png` of an export with TensorFlow's C API and no Python.

   serve MODEL SEED_IN IMAGES_OUT LATENTS_OUT PNG_LATENTS_IN PNG_OUT SEED PNG_FILE
         [LABELS_IN PNG_LABELS_IN LABEL]

   MODEL is a version's directory. The next five are tensors, `name:index`: the input and
   the outputs of `sample`, the input and the output of `png`. SEED is an int64. Prints the
   image's values, one a line, and writes the image to PNG_FILE. A conditional generator
   needs the last three: the inputs `labels` of `sample` and of `png`, and an int64. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"

/* tensorflow::DisableXlaCompilation(), which the server's main calls. */
extern void _ZN10tensorflow21DisableXlaCompilationEv(void);

static TF_Graph* graph;
static TF_Session* session;
static TF_Status* status;

static void check(const char* doing) {
  if (TF_GetCode(status) != TF_OK) {
    fprintf(stderr, "error: %s: %s\n", doing, TF_Message(status));
    exit(1);
  }
}

static TF_Output find(const char* tensor) {
  char name[256];
  const char* colon = strrchr(tensor, ':');
  size_t length = colon ? (size_t)(colon - tensor) : strlen(tensor);
  if (length >= sizeof name) length = sizeof name - 1;
  memcpy(name, tensor, length);
  name[length] = '\0';
  TF_Output found = {TF_GraphOperationByName(graph, name), colon ? atoi(colon + 1) : 0};
  if (!found.oper) {
    fprintf(stderr, "error: Expected %s in the graph. There is none.\n", name);
    exit(1);
  }
  return found;
}

/* An int64 of shape (1). */
static TF_Tensor* one_int64(const char* text) {
  const int64_t one[] = {1};
  TF_Tensor* tensor = TF_AllocateTensor(TF_INT64, one, 1, sizeof(int64_t));
  *(int64_t*)TF_TensorData(tensor) = strtoll(text, NULL, 10);
  return tensor;
}

int main(int argc, char** argv) {
  if (argc != 9 && argc != 12) {
    fprintf(stderr,
            "usage: serve MODEL SEED_IN IMAGES_OUT LATENTS_OUT PNG_LATENTS_IN PNG_OUT "
            "SEED PNG_FILE [LABELS_IN PNG_LABELS_IN LABEL]\n");
    return 2;
  }
  const int inputs = argc == 12 ? 2 : 1;
  _ZN10tensorflow21DisableXlaCompilationEv();
  graph = TF_NewGraph();
  status = TF_NewStatus();
  TF_SessionOptions* options = TF_NewSessionOptions();
  const char* tags[] = {"serve"};
  session = TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, NULL,
                                         status);
  check("loading");

  TF_Output sample_in[2] = {find(argv[2])};
  TF_Tensor* given[2] = {one_int64(argv[7])};
  if (inputs == 2) {
    sample_in[1] = find(argv[9]);
    given[1] = one_int64(argv[11]);
  }
  TF_Output sampled[] = {find(argv[3]), find(argv[4])};
  TF_Tensor* sample[2] = {NULL, NULL}; /* image (1, H, W, C), latents (1, L) */
  TF_SessionRun(session, NULL, sample_in, given, inputs, sampled, sample, 2, NULL, 0,
                NULL, status);
  check("sample");
  const float* values = TF_TensorData(sample[0]);
  for (int64_t i = 0; i < TF_TensorElementCount(sample[0]); ++i)
    printf("%.9g\n", values[i]);

  TF_Output png_in[2] = {find(argv[5])}, png_out = find(argv[6]);
  if (inputs == 2) png_in[1] = find(argv[10]);
  TF_Tensor* drawn[2] = {sample[1], given[1]}; /* latents, and the label */
  TF_Tensor* png = NULL;                       /* string (1) */
  TF_SessionRun(session, NULL, png_in, drawn, inputs, &png_out, &png, 1, NULL, 0, NULL,
                status);
  check("png");
  const TF_TString* bytes = TF_TensorData(png);
  size_t size = TF_StringGetSize(bytes);
  FILE* file = fopen(argv[8], "wb");
  if (!file || fwrite(TF_StringGetDataPointer(bytes), 1, size, file) != size ||
      fclose(file)) {
    perror(argv[8]);
    return 1;
  }

  for (int i = 0; i < inputs; ++i) TF_DeleteTensor(given[i]);
  TF_DeleteTensor(sample[0]);
  TF_DeleteTensor(sample[1]);
  TF_DeleteTensor(png);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
