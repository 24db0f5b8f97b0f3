/* What surrounds every page: where to go, whether what is seen is live, who looks. */
import {
  ActionIcon,
  AppShell,
  Burger,
  Group,
  Kbd,
  Menu,
  NavLink,
  Text,
  Tooltip,
  UnstyledButton,
  useComputedColorScheme,
  useMantineColorScheme,
} from "@mantine/core";
import { useDisclosure, useHotkeys } from "@mantine/hooks";
import { spotlight } from "@mantine/spotlight";
import { IconMoon, IconSearch, IconSun, IconUser } from "@tabler/icons-react";
import { Suspense } from "react";
import { Link, Outlet, useLocation, useNavigate } from "react-router";
import { api } from "../api/client";
import { Loading } from "../ui/Said";
import { Keys } from "./Keys";
import { Palette } from "./Palette";
import { Broken } from "./Broken";
import { LineSign } from "./LineSign";
import { places } from "./places";
import { useGoKeys, useListKeys } from "./keys";
import { useSession } from "./session";

export function Shell() {
  const [isOpen, { toggle, close }] = useDisclosure();
  const { pathname } = useLocation();
  useGoKeys(useNavigate());
  useListKeys();
  const [areKeysShown, keys] = useDisclosure();
  useHotkeys([
    ["/", () => focusSearch()],
    /* where it is typed with shift, as on German keyboards */
    ["shift + /", () => focusSearch()],
    ["shift + ?", keys.open],
  ]);
  return (
    <AppShell
      header={{ height: 48 }}
      navbar={{ width: 208, breakpoint: "sm", collapsed: { mobile: !isOpen } }}
      layout="alt"
      styles={{ main: { height: "100dvh" } }}
    >
      <a className="ff-skip" href="#main">
        Skip to the page
      </a>
      <AppShell.Header style={{ background: "var(--ff-panel)", borderColor: "var(--ff-line)" }}>
        <Header isOpen={isOpen} onToggle={toggle} onKeys={keys.open} />
      </AppShell.Header>
      <AppShell.Navbar
        aria-label="Main"
        p="xs"
        style={{ background: "var(--ff-panel)", borderColor: "var(--ff-line)" }}
      >
        <Navigation isOpen={isOpen} onClose={close} />
      </AppShell.Navbar>
      <AppShell.Main id="main" tabIndex={-1} style={{ display: "flex", flexDirection: "column" }}>
        <div className="ff-scroll" style={{ flex: 1, minHeight: 0 }} data-testid="page">
          <Broken address={pathname}>
            <Suspense fallback={<Loading />}>
              <Outlet />
            </Suspense>
          </Broken>
        </div>
      </AppShell.Main>
      <Palette onKeys={keys.open} />
      <Keys opened={areKeysShown} onClose={keys.close} />
    </AppShell>
  );
}

/** A page's own search field first, else the palette. */
function focusSearch(): void {
  const field = document.querySelector<HTMLInputElement>("main input[type=search]");
  if (field === null) spotlight.open();
  else field.focus();
}

interface HeaderProps {
  isOpen: boolean;
  onToggle: () => void;
  onKeys: () => void;
}

function Header({ isOpen, onToggle, onKeys }: HeaderProps) {
  return (
    <Group h="100%" px="sm" justify="space-between" wrap="nowrap">
      <Group gap="xs" wrap="nowrap">
        <Burger opened={isOpen} onClick={onToggle} hiddenFrom="sm" size="sm" aria-label="Navigation" />
        <UnstyledButton
          onClick={spotlight.open}
          aria-label="Search or do… Ctrl K"
          style={{
            border: "1px solid var(--ff-line)",
            borderRadius: 6,
            padding: "4px 10px",
            background: "var(--ff-page)",
          }}
        >
          <Group gap="xs" wrap="nowrap">
            <IconSearch size={15} aria-hidden />
            <Text size="sm" c="dimmed" visibleFrom="xs">
              Search or do…
            </Text>
            <Kbd size="xs" visibleFrom="sm">
              Ctrl K
            </Kbd>
          </Group>
        </UnstyledButton>
      </Group>
      <Group gap="xs" wrap="nowrap">
        <LineSign />
        <SchemeSwitch />
        <Who onKeys={onKeys} />
      </Group>
    </Group>
  );
}

function SchemeSwitch() {
  const { setColorScheme } = useMantineColorScheme();
  const other = useComputedColorScheme("light") === "light" ? "dark" : "light";
  return (
    <Tooltip label={`Switch to ${other}`}>
      <ActionIcon
        variant="subtle"
        color="gray"
        aria-label={`Switch to ${other} colours`}
        onClick={() => setColorScheme(other)}
      >
        {other === "dark" ? <IconMoon size={18} /> : <IconSun size={18} />}
      </ActionIcon>
    </Tooltip>
  );
}

function Who({ onKeys }: { onKeys: () => void }) {
  const session = useSession();
  /* what is read anew after it is who looks: nobody, who may log in */
  const leave = api.useMutation("delete", "/api/session");
  return (
    <Menu position="bottom-end" width={220}>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label={`You are ${session.user}`}>
          <IconUser size={18} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          {session.user} · {session.role}
        </Menu.Label>
        <Menu.Item component={Link} to="/people">
          People and keys
        </Menu.Item>
        <Menu.Item onClick={onKeys} rightSection={<Kbd size="xs">?</Kbd>}>
          Keys of the keyboard
        </Menu.Item>
        {session.auth === "session" ? <Menu.Item onClick={() => leave.mutate({})}>Log out</Menu.Item> : null}
      </Menu.Dropdown>
    </Menu>
  );
}

function Navigation({ isOpen, onClose }: { isOpen: boolean; onClose: () => void }) {
  const { pathname } = useLocation();
  return (
    <>
      <Group px={10} py={8} mb={4} gap={8} justify="space-between">
        <Link
          to="/"
          style={{ textDecoration: "none", color: "inherit", display: "flex", gap: 8, alignItems: "center" }}
        >
          <img src="/favicon.svg" width={24} height={24} alt="" />
          <Text fw={700}>FlowForge</Text>
        </Link>
        <Burger
          opened={isOpen}
          onClick={onClose}
          hiddenFrom="sm"
          size="sm"
          aria-label="Close the navigation"
        />
      </Group>
      {places.map(({ to, label, icon: Sign }) => (
        <NavLink
          key={to}
          component={Link}
          to={to}
          label={label}
          leftSection={<Sign size={18} stroke={1.7} aria-hidden />}
          active={to === "/" ? pathname === "/" : pathname === to || pathname.startsWith(`${to}/`)}
          aria-current={pathname === to ? "page" : undefined}
          onClick={onClose}
          style={{ borderRadius: 6 }}
        />
      ))}
    </>
  );
}
