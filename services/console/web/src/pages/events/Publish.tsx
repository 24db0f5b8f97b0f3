/* An event is published by hand, as another system would. */
import { Autocomplete, Box, Button, Grid, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import { useNavigate } from "react-router";
import { api, http } from "../../api/client";
import { fieldsOf, textOf } from "../../api/narrow";
import { Code } from "../../editor/Code";
import { readJson } from "../../ui/readJson";
import { say } from "../../ui/say";
import { useMutation } from "@tanstack/react-query";

const RECENT_MAX = 100;

export function Publish({ onClose }: { onClose: () => void }) {
  const go = useNavigate();
  const recent = api.useQuery("get", "/api/events", { params: { query: { limit: RECENT_MAX } } });
  const items = recent.data?.items ?? [];
  const [type, setType] = useState("");
  const [source, setSource] = useState("console");
  const [id, setId] = useState("");
  const [text, setText] = useState("{}");
  const data = readJson(text);
  const publish = useMutation({
    mutationFn: async (value: unknown) => {
      const event = {
        specversion: "1.0",
        id: id === "" ? crypto.randomUUID() : id,
        source,
        type,
        data: value,
      };
      const answer = await http.POST("/api/events", { body: event });
      return fieldsOf(answer.data);
    },
    onSuccess: (answer) => {
      say(
        answer["duplicate"] === true ? "It was here already: nothing is started again." : "It is in the log.",
        "Event published",
      );
      onClose();
      void go(`/events/${textOf(answer["event_id"]) ?? ""}`);
    },
  });
  const choose = (chosen: string) => {
    setType(chosen);
    const like = items.find((one) => one.type === chosen);
    if (like !== undefined && text === "{}") {
      setText(JSON.stringify(like.data, null, 2));
      setSource(like.source);
    }
  };
  return (
    <Modal opened onClose={onClose} size="lg" title="Publish an event">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (data.isSound) publish.mutate(data.value);
        }}
      >
        <Stack gap="sm">
          <Grid>
            <Grid.Col span={{ base: 12, xs: 6 }}>
              <Autocomplete
                label="Type"
                placeholder="order.placed"
                required
                data-autofocus
                data={[...new Set(items.map((one) => one.type))].sort()}
                value={type}
                onChange={choose}
              />
            </Grid.Col>
            <Grid.Col span={{ base: 12, xs: 6 }}>
              <Autocomplete
                label="Source"
                required
                data={[...new Set(items.map((one) => one.source))].sort()}
                value={source}
                onChange={setSource}
              />
            </Grid.Col>
            <Grid.Col span={12}>
              <TextInput
                label="Id"
                description="With the source it says which event it is: the same again starts nothing"
                placeholder="one is made"
                value={id}
                onChange={({ currentTarget }) => setId(currentTarget.value)}
              />
            </Grid.Col>
          </Grid>
          <div>
            <Text size="sm" fw={500} mb={4}>
              Data
            </Text>
            <Box h={180}>
              <Code value={text} onChange={setText} language="json" label="Data of the event" />
            </Box>
            {data.isSound ? null : (
              <Text size="sm" mt={4} role="alert" style={{ color: "var(--ff-failed)" }}>
                {data.fault}
              </Text>
            )}
          </div>
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={publish.isPending} disabled={!data.isSound || type === ""}>
              Publish
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
